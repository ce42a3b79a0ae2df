"""Networks that judge and never learn during a run: `apply(variables, images)`."""
