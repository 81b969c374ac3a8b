"""What people do about health records beside reading them: completeness, exports, samples, changes of schema. No Dagster here."""
