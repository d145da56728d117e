//! `http_request`: calls an HTTP service for a model, which decides on path, method and content, and on nothing else.
//!
//! `schema` is what models are told; `target` knows where a call may go, `request` what is sent there, `reply` what is made of
//! the answer. The runtime calls [`describe`], [`execute`] and [`check`]. To add an argument: its line in `schema`, its reading
//! in `request`.

mod reply;
mod request;
mod schema;
mod target;

use serde_json::{Map, Value};

use super::Tool;
use super::check::{HTTP_CHECK_TIMEOUT, ToolCheck, ToolCheckStatus};
use super::context::ToolContext;
use super::result::ToolResult;
use crate::outbound::{Reply, display_url};
use crate::settings::HttpOptions;
use request::OutgoingRequest;
pub(super) use schema::describe;
use target::RequestTarget;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Does what the arguments, which fit the schema, ask for.
pub(super) async fn execute(
    context: ToolContext<'_>,
    options: &HttpOptions,
    arguments: &Map<String, Value>,
) -> ToolResult {
    let tool = context.tool;
    if let Some(missing) = missing(tool, options) {
        return ToolResult::error(missing);
    }
    let prepared =
        target::resolve(options, arguments).and_then(|target| Ok((target, OutgoingRequest::read(options, arguments)?)));
    let (target, request) = match prepared {
        Ok(prepared) => prepared,
        Err(refused) => return ToolResult::error(format!("Tool '{}' was not run: {refused}", tool.name)),
    };
    let mut chain = RedirectChain { target, request, redirects: 0 };
    let result = match chain.follow(context, options).await {
        Ok(reply) => reply::read(reply, &chain.who(), chain.request.method, tool.redaction(), context.deadline).await,
        Err(failed) => failed,
    };
    let last: String = chain.target.url.as_str().chars().take(target::MAX_URL_CHARS).collect();
    let result = result.with("url", last).with("method", chain.request.method);
    if chain.redirects == 0 { result } else { result.with("redirects", chain.redirects) }
}

/// A request on its way, which redirects may change.
struct RedirectChain {
    target: RequestTarget,
    request: OutgoingRequest,
    redirects: usize,
}

impl RedirectChain {
    /// The reply that is no redirect.
    async fn follow(&mut self, context: ToolContext<'_>, options: &HttpOptions) -> Result<Reply, ToolResult> {
        loop {
            let call = self.request.call(options, &self.target);
            let sent = context.http.send(&call, context.deadline).await;
            let reply = sent.map_err(|error| ToolResult::call(&self.who(), &error))?;
            let Some(location) = self.redirect(&reply) else { return Ok(reply) };
            let who = self.who();
            if self.redirects == MAX_REDIRECTS {
                return Err(ToolResult::failure(format!("{who} redirected once more after {MAX_REDIRECTS} redirects")));
            }
            let next = target::permit(options, location).map_err(|why| {
                ToolResult::failure(format!("{who} redirected to a place that is not allowed: {why}"))
            })?;
            self.request.follow_redirect(reply.status(), next.url.origin() == self.target.url.origin());
            // Who has led the trip to another server must not lead it back with the credentials.
            self.target = RequestTarget { is_own: next.is_own && self.target.is_own, ..next };
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
pub(super) async fn check(context: ToolContext<'_>, options: &HttpOptions) -> ToolCheck {
    let tool = context.tool;
    let Some(base) = &options.base_url else {
        return missing(tool, options)
            .map_or_else(|| ToolCheck::not_applicable(&tool.effective.kind), ToolCheck::incomplete);
    };
    let shown = display_url(base.expose());
    let Some(target) = target::base_target(base) else {
        return ToolCheck::incomplete(format!("Tool '{}': config.base_url is not a URL", tool.name));
    };
    let call = OutgoingRequest::get(options).call(options, &target);
    let found = match context.http.send(&call, context.deadline.at_most(HTTP_CHECK_TIMEOUT)).await {
        Err(error) => ToolCheck::unreachable(&error, HTTP_CHECK_TIMEOUT.as_secs()),
        Ok(reply) => {
            let status = reply.status();
            let mut check = ToolCheck::passed(format!("Tool endpoint is reachable (HTTP {status})"));
            if status >= 400 {
                let message = format!("Tool endpoint is unreachable (HTTP {status})");
                check = ToolCheck { success: false, status: ToolCheckStatus::Unreachable, message, ..check };
            }
            check.with("status_code", status)
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
