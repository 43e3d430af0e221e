"""Results as Plotly figures and small sheets."""
