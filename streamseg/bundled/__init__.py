"""The bundled engines, their cards, and the code that makes and measures them."""
