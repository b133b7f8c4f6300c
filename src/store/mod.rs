//! Readers and writers of one text format each.

mod yaml;
