"""What Stripe says by itself: events, and the signed webhooks that carry them."""
