"""An index as tools of the Model Context Protocol: `t1 mcp INDEX`."""
