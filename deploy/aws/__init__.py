"""Strandline on AWS: the CDK app that describes it, and what runs beside the platform there."""
