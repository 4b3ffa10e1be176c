"""What is known of libraries and frameworks, as data; with the user's own rows after ours."""
