"""The narrow waist: post on a given transaction; sequence, chain, totals; read forward."""
