"""Archives of JSON from health apps: flat, typed tables for each dataset."""
