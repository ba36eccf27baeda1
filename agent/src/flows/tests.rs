//! Flows against a hub that is simulated.
