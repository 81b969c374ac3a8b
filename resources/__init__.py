"""How assets reach the outside: settings, landing store, ledger, lake, SQL."""
