"""The likely cause of a failure, from the answers of reference and backend; arrays only."""
