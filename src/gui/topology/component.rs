use super::node::NodeId;
use super::services::TopologyServices;
use crate::agents::AgentEntry;
use crate::datasources::Source;
use crate::kernel::{Caller, Deadline, Error};
use crate::settings::Settings;

/// What a model is asked when nothing else is given.
const GREETING: &str = "Hello, how are you?";

/// How a test of a node went.
#[derive(Clone, Debug)]
pub(in crate::gui) struct ComponentTest {
    pub(in crate::gui) component_id: NodeId,
    /// What was found, or what is wrong.
    pub(in crate::gui) found: Result<String, String>,
}

impl TopologyServices {
    /// Tests a node with what its own module has for that; `prompt` is for those that take one.
    pub(super) async fn test(
        &self,
        settings: &Settings,
        id: NodeId,
        prompt: Option<String>,
        caller: &Caller,
    ) -> Result<ComponentTest, Error> {
        let found = match &id {
            NodeId::Start => Ok("Takes prompts".to_owned()),
            NodeId::End => Ok("Gives answers".to_owned()),
            NodeId::IntentRouter | NodeId::Planner => self.test_planning(&id, prompt, caller).await,
            NodeId::Conversations | NodeId::Cache => self.test_memory(settings, &id).await,
            NodeId::Audit => self.test_audit().await,
            NodeId::Llm => self.test_llm(settings, prompt, caller).await,
            NodeId::Agent(name) => self.test_agent(settings, settings.agents.require(name)?).await,
            NodeId::DataSource(name) => self.test_datasource(settings, settings.datasources.require(name)?).await,
            NodeId::Tool(name) => self.tools.check(settings, settings.tools.require(name)?).await,
        };
        Ok(ComponentTest { component_id: id, found })
    }

    async fn test_planning(&self, id: &NodeId, prompt: Option<String>, caller: &Caller) -> Result<String, String> {
        let prompt = prompt.unwrap_or_else(|| GREETING.to_owned());
        let preview = self.chat.preview(prompt, None, caller.clone()).await;
        let preview = preview.map_err(|error| error.public_detail().to_owned())?;
        Ok(match id {
            NodeId::IntentRouter => format!("Intent: {} ({:.2})", preview.intent, preview.confidence),
            _ => format!("A plan of {} task(s)", preview.tasks.as_array().map_or(0, Vec::len)),
        })
    }

    async fn test_llm(&self, settings: &Settings, prompt: Option<String>, caller: &Caller) -> Result<String, String> {
        let prompt = prompt.unwrap_or_else(|| GREETING.to_owned());
        let answer = self.llm.test(settings, &prompt, None, caller).await.map_err(|error| error.to_string())?;
        Ok(format!("Model '{}' has answered", answer.model))
    }

    async fn test_agent(&self, settings: &Settings, agent: &AgentEntry) -> Result<String, String> {
        let ping = self.agents.ping(agent, Deadline::after(settings.orchestration.timeout)).await;
        let ping = ping.ok_or_else(|| format!("Agent '{}' is disabled", agent.name))?;
        match ping.healthy {
            true => Ok(ping.message.to_owned()),
            false => Err(ping.error.unwrap_or_else(|| ping.message.to_owned())),
        }
    }

    async fn test_datasource(&self, settings: &Settings, source: &Source) -> Result<String, String> {
        let health = self.datasources.check_health(source, Deadline::after(settings.orchestration.timeout)).await;
        let health = health.ok_or_else(|| format!("DataSource '{}' is disabled", source.name))?;
        match &health.outcome {
            Ok(_) if health.is_healthy() => Ok(health.message().to_owned()),
            Ok(_) => Err(health.message().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn test_memory(&self, settings: &Settings, id: &NodeId) -> Result<String, String> {
        let is_enabled = if *id == NodeId::Cache { settings.cache.enabled } else { settings.memory.enabled };
        if !is_enabled {
            let variable = if *id == NodeId::Cache { "CACHE_ENABLED" } else { "MEMORY_ENABLED" };
            return Err(format!("It is disabled ({variable})"));
        }
        let (is_healthy, _) = self.memory.health(&settings.storage).await;
        match is_healthy {
            true => Ok("The store answers".to_owned()),
            false => {
                Err(self.memory.degraded().first().cloned().unwrap_or_else(|| "The store does not answer".to_owned()))
            }
        }
    }

    async fn test_audit(&self) -> Result<String, String> {
        if self.stores.postgres().is_some() {
            return self.stores.ping_postgres().await.map(|_| "Postgres answers".to_owned());
        }
        let answer = self.stores.ping().await.map_err(|error| error.public_detail().to_owned());
        answer.map(|()| "The embedded store answers".to_owned())
    }
}
