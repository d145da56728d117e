use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::agents::AgentService;
use crate::chat::{ChatService, ChatServices};
use crate::datasources::DataSourceService;
use crate::grounding::GroundingService;
use crate::gui::chat_page::ChatPageService;
use crate::gui::{TopologyService, TopologyServices};
use crate::identity::IdentityService;
use crate::kernel::Clock;
use crate::llm::{LlmClient, LlmService};
use crate::memory::{MemoryService, ResponseCache, Summarizer};
use crate::monitoring::MonitoringService;
use crate::outbound::{AddressGuard, HttpClient};
use crate::settings::SharedSettings;
use crate::storage::{ConfigRepository, ExecutionStore, Stores};
use crate::tools::ToolService;
use crate::web::AppState;

/// What the modules share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) settings: SharedSettings,
    pub(super) stores: Stores,
    pub(super) config: ConfigRepository,
    pub(super) clock: Clock,
    /// Work that outlives a request.
    pub(super) background: TaskTracker,
}

/// The ways to what lies beyond this process.
pub(super) struct Network {
    pub(super) http: HttpClient,
    pub(super) guard: AddressGuard,
    /// The program's own file, which is run again for work that may have to be killed.
    pub(super) program: PathBuf,
}

/// The modules: the state of each one's routes, and what works for them in the background.
pub(super) struct Modules {
    pub(super) system: AppState,
    pub(super) config: ConfigRepository,
    pub(super) identity: IdentityService,
    pub(super) client: LlmClient,
    pub(super) llm: LlmService,
    pub(super) agents: AgentService,
    pub(super) datasources: DataSourceService,
    pub(super) tools: ToolService,
    pub(super) grounding: GroundingService,
    pub(super) memory: MemoryService,
    pub(super) summarizer: Arc<Mutex<Summarizer>>,
    pub(super) chat: Arc<ChatService>,
    pub(super) executions: ExecutionStore,
    pub(super) monitoring: MonitoringService,
    pub(super) chat_page: ChatPageService,
    pub(super) topology: TopologyService,
}

impl Modules {
    /// Builds each module over those below it. Its values are large, so it is no part of a future.
    pub(super) fn new(shared: &Shared, Network { http, guard, program }: Network, identity: IdentityService) -> Self {
        let Shared { settings, stores, config, clock, background } = shared;
        let limiter = identity.limiter().clone();
        let client = LlmClient::new(http.clone(), clock.clone(), limiter.clone());
        let llm = LlmService::new(config.clone(), client.clone());
        let agents = AgentService::new(config.clone(), http.clone());
        let tools = ToolService::new(config.clone(), http.clone());
        let datasources = DataSourceService::new(config.clone(), http, guard, program, clock.clone());
        let grounding = GroundingService::new(client.clone(), settings);
        let (summaries, summarizer) = Summarizer::new(settings.clone(), stores.clone());
        let memory = MemoryService::new(settings.clone(), stores.clone(), clock.clone(), summaries);
        let monitoring = MonitoringService::new(
            settings.clone(),
            stores.clone(),
            llm.clone(),
            agents.clone(),
            datasources.clone(),
            grounding.clone(),
            clock.clone(),
        );
        let below_chat = ChatServices {
            llm: client.clone(),
            agents: agents.clone(),
            datasources: datasources.clone(),
            tools: tools.clone(),
            grounding: grounding.clone(),
            memory: memory.clone(),
            cache: ResponseCache::new(stores.cache.clone()),
            evaluations: stores.evaluations.clone(),
        };
        let executions = stores.executions.clone();
        let chat = ChatService::new(
            settings.clone(),
            executions.clone(),
            below_chat,
            limiter,
            clock.clone(),
            background.clone(),
        );
        // One of many parts, of which a router makes a copy for each request.
        let chat = Arc::new(chat);
        let chat_page =
            ChatPageService::new(chat.clone(), llm.clone(), memory.clone(), stores.transcripts.clone(), clock.clone());
        let below_topology = TopologyServices {
            chat: chat.clone(),
            stores: stores.clone(),
            llm: llm.clone(),
            agents: agents.clone(),
            datasources: datasources.clone(),
            tools: tools.clone(),
            memory: memory.clone(),
            monitoring: monitoring.clone(),
        };
        Self {
            system: AppState { settings: settings.clone(), stores: stores.clone() },
            config: config.clone(),
            identity,
            topology: TopologyService::new(below_topology, clock.clone()),
            client,
            llm,
            agents,
            datasources,
            tools,
            grounding,
            memory,
            summarizer: Arc::new(Mutex::new(summarizer)),
            chat,
            executions,
            monitoring,
            chat_page,
        }
    }
}
