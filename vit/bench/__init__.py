"""How fast this toolkit is beside others, on the machine at hand."""
