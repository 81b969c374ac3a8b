"""What is made of a cruise's rows: CF NetCDF, a report, statistics in DynamoDB."""
