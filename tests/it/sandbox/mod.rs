//! Code execution: what programs can do, and what hostile ones cannot.

mod attacks;
mod environments;
mod execution;
mod process_cleanup;
