"""The licensed host that CARIS HIPS and SIPS runs on: reached, held by lease, started and stopped."""
