mod first_use;
mod following;
mod outages;
