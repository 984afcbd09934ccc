"""What is kept of people and for how long: erasing, requests for one's data, retention."""
