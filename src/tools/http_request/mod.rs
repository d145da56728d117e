//! `http_request`: calls an HTTP service for a model, which decides on path, method and content, and on nothing else.
//!
//! `target` knows where a call may go, `request` what is sent there, `reply` what is made of the answer. The runtime calls
//! [`describe`], [`execute`] and [`check`]. To add an argument: its line in [`describe`], its reading in `request`.

mod reply;
mod request;
mod target;

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Tool;
use super::check::Check;
use super::function::Described;
use super::result::ToolResult;
use crate::kernel::Deadline;
use crate::outbound::{HttpClient, Reply, display_url};
use crate::settings::HttpOptions;
use request::Request;
use target::Target;

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;
/// Longest test. The original's.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// What the tool is offered as.
pub(super) fn describe(options: &HttpOptions) -> Described {
    let parameter = json!({"type": ["string", "number", "boolean", "array", "null"],
        "items": {"type": ["string", "number", "boolean"]}});
    let parameters = json!({
        "type": "object",
        "properties": {
            "url": {"type": "string", "maxLength": target::LONGEST, "description": target::describe(options)},
            "method": {"type": "string", "enum": request::METHODS, "default": "GET", "description": "HTTP method"},
            "params": {"type": "object", "description": "Query parameters, added to those of the URL", "additionalProperties": parameter},
            "data": {"type": ["object", "array", "string"],
                "description": "Body: an object or array is sent as JSON, a string as it is. Not with GET and HEAD"},
            "headers": {"type": "object", "description": "Further request headers. Credentials are added by the tool itself",
                "additionalProperties": {"type": "string"}, "maxProperties": 50},
        },
        "required": ["url"],
        "additionalProperties": false,
    });
    Described { description: "Make HTTP requests to external APIs".to_owned(), parameters }
}

/// Does what the arguments, which fit the schema, ask for.
pub(super) async fn execute(
    http: &HttpClient,
    tool: &Tool,
    options: &HttpOptions,
    arguments: &Map<String, Value>,
    deadline: Deadline,
) -> ToolResult {
    if let Some(missing) = missing(tool, options) {
        return ToolResult::error(missing);
    }
    let prepared =
        target::resolve(options, arguments).and_then(|target| Ok((target, Request::read(options, arguments)?)));
    let (target, request) = match prepared {
        Ok(prepared) => prepared,
        Err(refused) => return ToolResult::error(format!("Tool '{}' was not run: {refused}", tool.name)),
    };
    let mut trip = Trip { target, request, redirects: 0 };
    let result = match trip.follow(http, options, deadline).await {
        Ok(reply) => {
            let redaction = tool.redaction();
            reply::read(reply, &trip.who(), trip.request.method, redaction, deadline).await
        }
        Err(failed) => failed,
    };
    let last: String = trip.target.url.as_str().chars().take(target::LONGEST).collect();
    let result = result.with("url", last).with("method", trip.request.method);
    if trip.redirects == 0 { result } else { result.with("redirects", trip.redirects) }
}

/// A request on its way, which redirects may change.
struct Trip {
    target: Target,
    request: Request,
    redirects: usize,
}

impl Trip {
    /// The reply that is no redirect.
    async fn follow(
        &mut self,
        http: &HttpClient,
        options: &HttpOptions,
        deadline: Deadline,
    ) -> Result<Reply, ToolResult> {
        loop {
            let call = self.request.call(options, &self.target);
            let sent = http.send(&call, deadline).await;
            let reply = sent.map_err(|error| ToolResult::call(&self.who(), &error))?;
            let Some(location) = self.redirect(&reply) else { return Ok(reply) };
            let who = self.who();
            if self.redirects == MOST_REDIRECTS {
                return Err(ToolResult::failure(format!(
                    "{who} redirected once more after {MOST_REDIRECTS} redirects"
                )));
            }
            let next = target::permit(options, location).map_err(|why| {
                ToolResult::failure(format!("{who} redirected to a place that is not allowed: {why}"))
            })?;
            self.request.redirected(reply.status(), next.url.origin() == self.target.url.origin());
            // Who has led the trip to another server must not lead it back with the credentials.
            self.target = Target { own: next.own && self.target.own, ..next };
            self.redirects += 1;
        }
    }

    /// Where a reply sends its reader.
    fn redirect(&self, reply: &Reply) -> Option<url::Url> {
        let location = reply.header("location").filter(|_| matches!(reply.status(), 301 | 302 | 303 | 307 | 308))?;
        let mut url = self.target.url.join(location).ok()?;
        url.set_fragment(None);
        Some(url)
    }

    fn who(&self) -> String {
        format!("{} {}", self.request.method, display_url(self.target.url.as_str()))
    }
}

/// Looks whether the tool can do its work: whether its own server answers. The credentials go along, since without them a
/// server that works would answer that it does not.
pub(super) async fn check(http: &HttpClient, tool: &Tool, options: &HttpOptions, deadline: Deadline) -> Check {
    let Some(base) = &options.base_url else {
        return missing(tool, options).map_or_else(|| Check::untested(&tool.effective.kind), Check::incomplete);
    };
    let shown = display_url(base.expose());
    let Some(target) = target::permit_base(base) else {
        return Check::incomplete(format!("Tool '{}': config.base_url is not a URL", tool.name));
    };
    let call = Request::get(options).call(options, &target);
    let found = match http.send(&call, deadline.at_most(CHECK_TIMEOUT)).await {
        Err(error) => Check::unreachable(&error, CHECK_TIMEOUT.as_secs()),
        Ok(reply) => {
            let status = reply.status();
            let (success, word) = if status < 400 { (true, "reachable") } else { (false, "unreachable") };
            let message = format!("Tool endpoint is {word} (HTTP {status})");
            Check { success, ..Check::passed(word, message).with("status_code", status) }
        }
    };
    found.with("endpoint_url", shown)
}

/// What the tool's owner has to add before the tool is of any use.
fn missing(tool: &Tool, options: &HttpOptions) -> Option<String> {
    let nowhere = options.base_url.is_none() && options.allowed_hosts.is_empty();
    let name = &tool.name;
    nowhere.then(|| {
        format!("Tool '{name}' may call no server yet: set config.base_url to the URL of one, or list some in config.allowed_hosts")
    })
}
