//! The HTTP surface: envelopes, validation, the resources that are configured through it, and its OpenAPI document.

mod docs_page;
mod equal_puts;
mod http;
mod openapi;
mod openapi_strictness;
mod refusals;
mod resource_files;
mod resource_validation;
mod resources;
mod story_coverage;
mod validation;
