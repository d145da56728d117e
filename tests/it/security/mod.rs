//! What is kept out, and what is kept in: other sites, credentials, floods, forbidden addresses.

mod address_guard;
mod connection_limits;
mod credential_origin;
mod cross_site;
mod floods;
mod identity;
mod nested_bodies;
mod nested_replies;
mod resource_secrets;
mod secret_canary;
mod secrets_at_rest;
mod tls;
mod tls_files;
mod upstream_secrets;
mod url_passwords;
