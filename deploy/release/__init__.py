"""From a commit to running, in steps that a workflow and a person call alike: `python -m deploy.release STEP`."""
