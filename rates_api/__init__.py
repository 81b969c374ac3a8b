"""The HTTP service over the serving database: rates for whoever asks, prices from whoever has the token.

- `app`: all of it put together. `server`: running it and ending it. `door`: what every request passes.
- `rates`: asking. `posting`: a price becomes a delivery. `health`: for load balancers and Prometheus.
- `database`: the pool of connections. `models`: what goes in and out. `errors`: what is told when it does not.
"""
