"""What `strandline demo` shows of the rates API."""

from __future__ import annotations

import json
import urllib.request

import click

_DAY = "2016-01-03"
_QUESTION = "date_from=2016-01-01&date_to=2016-01-05&origin=CNSGH&destination=north_europe_main"
_PRICES = (1000, 1100, 1200)


def show_api(address: str) -> None:
    """Ask it, and say how its answer is made to change: a day of the examples has no price yet."""
    question = f"{address}/rates?{_QUESTION}"
    with urllib.request.urlopen(question, timeout=30) as answer:
        days = json.load(answer)
    click.echo(f"\nThe rates API: {address}/rates (its document: {address}/openapi.json)\n$ curl '{question}'")
    for day in days:
        click.echo(f"  {json.dumps(day)}")
    lines = "\\n".join(["orig_code,dest_code,day,price", *(f"CNSGH,NLRTM,{_DAY},{price}" for price in _PRICES)])
    click.echo(f"{_DAY} has no price. Land three, and ask again some seconds later:")
    click.echo(f"  printf '{lines}\\n' > more.csv && strandline land rates more.csv")
