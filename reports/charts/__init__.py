"""One function a chart, and the theme that they share."""
