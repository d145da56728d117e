mod conversations;
mod executions;
mod first_use;
mod following;
mod history;
mod outages;
mod transfer;
