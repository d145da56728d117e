//! The existing GUI: what its pages send, and that what they read of each reply is there and true; its chat page in a browser.

mod chat_page;
mod chat_page_failures;
mod chat_page_in_browser;
mod chat_page_port;
mod chat_page_profiles;
mod chat_page_streams;
mod llm_page;
mod memory_page;
mod recorded_chat_page;
mod setup_pages;
mod topology_page;
mod topology_runs;
