"""Landing stores: where files arrive. Nothing but `strandline land` writes there."""
