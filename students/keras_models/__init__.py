"""Networks that are not under the contract: flattened, searched and cut."""
