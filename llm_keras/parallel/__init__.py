"""How a training step is spread over devices and over time. Knows no model class."""
