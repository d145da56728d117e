"""What no schema can tell, case by case, so that every check stays on for all else."""

import os

import schemathesis
from schemathesis.core import NOT_SET
from schemathesis.core.failures import ServerError
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

# Where the 422 of a request that fits the document may say that the fault is.
BEYOND_SCHEMAS = {
    # Each function has a schema of its own.
    "execute_tool": [("body", "arguments"), ("body", "tool")],
    # The guard parses SQL.
    "query_datasource": [("body", "query"), ("body", "parameters")],
    "create_verified": [("body", "query"), ("body", "parameters")],
    "update_verified": [("body", "query"), ("body", "parameters")],
    "replace_verified": [("body", "verified", "query"), ("body", "verified", "parameters")],
    # An agent has a limit of its own.
    "call_agent": [("query", "timeout_seconds")],
    # Whoever is named has to be there.
    "chat": [("body", "metadata", name) for name in ("agent", "datasource", "tool", "tools", "tool_params")],
    # Parameters are those of a tool that is named.
    "send_chat_page_message": [("body", "metadata", "tool_params")],
    "stream_chat_page_message": [("body", "metadata", "tool_params")],
    # The operator names the commands that may be run.
    "create_tool": [("body", "config", "command")],
    # What is stored is not sent to another server.
    "update_tool": [("body", "config")],
    "update_agent": [("body", "auth_token")],
    "update_datasource": [("body", "auth_token"), ("body", "url"), ("body", "config")],
    "put_llm_config": [("body", "api_key")],
    "post_llm_config": [("body", "api_key")],
    # Nobody is called as those for whom keys without an owner act.
    "create_key": [("body", "user_id")],
    # Some text in it has to be a prompt.
    "execute_topology": [("body", "input_data")],
}

# What answers 400 by what else there is: only pages give cursors, another request may have taken the LLM away, and a connection is saved
# only if its server answers.
STATES = ("list_executions", "list_audit", "list_llm_models", "save_llm_connection")

# Errors that are an upstream's, or tell that there is none, or that too many wait for it: other requests move the LLM to where nobody
# answers.
UPSTREAMS_ERRORS = {"chat": (502, 503, 504), "execute_topology": (503,)}


@schemathesis.hook
def filter_case(context, case):
    """Whether the case tells something: whether the rest of a wrong request still decides on what comes of it."""
    query = case.query or {}
    if operation_of(case) == "evaluate_routing" and count_of(case.body, "cases") > 3:
        # Each is the work of a chat; a few tell as much.
        return False
    if operation_of(case) == "monitoring_logs" and "follow" in query and len(query) > 1:
        # Filters may leave nothing to wait for.
        return False
    if case.meta is None or not case.meta.generation.mode.is_negative:
        return True
    operation = operation_of(case)
    if operation in ("test_router", "test_planner"):
        # They take whatever a page sends.
        return False
    if operation == "add_message":
        # Part of the message may be in the query, or all of it; the body is any object then, or none.
        return not {"role", "content"} & set(query)
    if operation == "call_agent" and str(query.get("method")).upper() in ("GET", "DELETE"):
        # These need no body.
        return case.body is not NOT_SET and case.body is not None
    return True


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure is one."""
    operation = operation_of(case)
    if isinstance(failure, UseAfterFree):
        # The one connection goes back to what the variables say; an execution is stopped, and its record stays; lists and conversations
        # become empty.
        path = case.formatted_path
        stays = ("/llm-connections/default", "/topology/execution/", "/api/memory/")
        return not path.endswith("/verified") and not any(place in path for place in stays)
    if isinstance(failure, ServerError):
        return response.status_code not in UPSTREAMS_ERRORS.get(operation, ())
    if isinstance(failure, RejectedPositiveData) and response.status_code == 400:
        return operation not in STATES
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:
        return not all(is_beyond_schemas(operation, issue) for issue in response.json()["errors"])
    return True


def count_of(body, name):
    listed = body.get(name) if isinstance(body, dict) else None
    return len(listed) if isinstance(listed, list) else 0


def is_beyond_schemas(operation, issue):
    # Places in lists don't count.
    place = tuple(step for step in issue["loc"] if not isinstance(step, int))
    known = BEYOND_SCHEMAS.get(operation, ())
    # The mask stands for what is stored, if there is something.
    return issue["input"] == "********" or any(place[: len(start)] == start for start in known)


def operation_of(case):
    return case.operation.definition.raw.get("operationId")


@schemathesis.hook
def before_call(context, case, *_):
    # Either says who asks; one that is made up beside the one that is right would be refused each time.
    if case.headers is not None:
        case.headers.pop("X-API-Key", None)
    # All after it would be refused, too.
    if operation_of(case) == "revoke_key" and case.path_parameters.get("id") == os.environ["OWN_KEY"]:
        case.path_parameters["id"] = "another"
