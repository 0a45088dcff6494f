"""How a gateway is declared: decorators attach frozen specs, the reader checks them."""
