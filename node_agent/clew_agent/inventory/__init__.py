"""Where pods come from: implementations of ``clew_agent.model.InventorySource``."""
