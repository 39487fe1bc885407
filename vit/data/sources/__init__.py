"""Where images lie: data sets, their splits, and the stores that give an image by its number."""
