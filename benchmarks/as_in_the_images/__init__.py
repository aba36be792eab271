"""In front of our services' path: hides what the images lack, and the environment here has."""
