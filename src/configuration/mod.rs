//! `/api/config`: the revisions of what was configured through the API, and the way back to one of them.

pub mod routes;
