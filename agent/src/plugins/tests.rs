//! Endpoint VQL through the evaluator.
