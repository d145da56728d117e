//! SQLite, Redis and Postgres: what they keep, in which form, and what happens when they are away.

mod connection_urls;
mod durability;
mod full_disk;
mod killed_chats;
mod migrations;
mod postgres_outages;
mod redis_format;
mod redis_outages;
mod slow_redis;
