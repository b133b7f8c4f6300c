//! YAML as go-yaml, and so sops, reads and writes it.

#[allow(dead_code, reason = "the store that calls it is not here yet")]
mod scalar;
