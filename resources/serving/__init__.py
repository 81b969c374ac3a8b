"""The serving database: what answers rate queries while loads run. PostgreSQL; the same rows are in the lake for analysts.

- `tables`: what is stored. `database`: opening, migrating, writing, reading. `embedded`: the server of a deployment without one.
- `loading`: a batch of prices in one transaction. `places`: ports and regions. `comparing`: what is served, to hold
  against the lake. `queries`: what people ask.
"""
