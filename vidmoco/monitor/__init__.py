"""What is measured of the features while a training goes on, and changes nothing of it."""
