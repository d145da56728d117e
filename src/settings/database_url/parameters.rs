//! The parameters that hosters, ORMs and drivers write into the URLs of databases. To add one: a line of `EFFECTS`.

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// How the connection is protected, in one word.
    SslMode,
    /// Whether it is protected.
    SslSwitch,
    /// Whether the certificate is looked at, if this is true.
    VerifyCertificate,
    /// Whether it must be that of the host, if this is true.
    VerifyHost,
    /// The authorities that are trusted.
    RootCertificate,
    User,
    Password,
    Host,
    Port,
    Database,
    /// A list of schemas.
    SearchPath,
    /// One schema, by its exact name.
    Schema,
    /// Settings of the session.
    Options,
    ApplicationName,
    /// Nothing here: it is about a driver's own work, or about what this server sets itself.
    Nothing,
    /// Refused: what it asks for can't be had.
    Refused(&'static str),
}

use Effect::{
    ApplicationName, Database, Host, Nothing, Options, Password, Port, Refused, RootCertificate, Schema, SearchPath,
    SslMode, SslSwitch, User, VerifyCertificate, VerifyHost,
};

const FILES: &str = "names a file of this machine";
const SOCKETS: &str = "names a socket of this machine";
const STATEMENTS: &str = "has statements run that this server does not look at";

/// Names without `-` and `_`, in lower case, by what becomes of them.
const EFFECTS: [(Effect, &str); 21] = [
    (SslMode, "sslmode"),
    (SslSwitch, "ssl usessl requiressl tls usetls sslaccept"),
    (VerifyCertificate, "verifyservercertificate sslverifycert"),
    (VerifyHost, "sslverifyidentity checkservername"),
    (RootCertificate, "sslrootcert"),
    (User, "user username"),
    (Password, "password"),
    (Host, "host"),
    (Port, "port"),
    (Database, "dbname database databasename"),
    (SearchPath, "searchpath currentschema"),
    (Schema, "schema"),
    (Options, "options"),
    (ApplicationName, "applicationname"),
    (
        Nothing,
        // Limits of time.
        "connecttimeout connectiontimeout logintimeout timeout sockettimeout sockettimeoutms readtimeout writetimeout \
         commandtimeout querytimeout statementtimeout locktimeout idleintransactionsessiontimeout canceltimeout \
         acquiretimeout idletimeout maxlifetime keepalives keepalivesidle keepalivesinterval keepalivescount keepalive \
         keepaliveinitialdelaymillis tcpkeepalive tcpkeepalives tcpusertimeout \
         connectionlimit pool pooltimeout poolsize poolmode poolmaxconns poolminconns poolmaxconnlifetime poolmaxconnidletime \
         poolrecycle poolpreping poolname maxoverflow maxconnections minconnections maxpoolsize minpoolsize pooling \
         waitforconnections queuelimit pgbouncer supa workaround \
         statementcachesize statementcachecapacity preparedstatementcachesize preparedstatementcachequeries \
         preparedstatements preparethreshold defaultqueryexecmode binarytransfer rewritebatchedinserts stringtype autosave \
         maxcachedstatementlifetime maxcacheablestatementsize asyncfallback uselibpqcompat readonly \
         targetsessionattrs targetservertype loadbalancehosts hostrecheckseconds \
         channelbinding sslsni sslcompression sslnegotiation sslminprotocolversion sslmaxprotocolversion sslcertmode \
         minprotocolversion maxprotocolversion gssdelegation gsslib krbsrvname fallbackapplicationname \
         clientencoding charset encoding characterencoding characterset useunicode collation connectioncollation \
         timezone servertimezone connectiontimezone loc parsetime serverversion",
    ),
    (
        Nothing,
        // MySQL's drivers.
        "allowpublickeyretrieval allownativepasswords allowcleartextpasswords zerodatetimebehavior multistatements \
         allowmultiqueries rewritebatchedstatements localinfile allowloadlocalinfile cacheprepstmts useserverprepstmts \
         prepstmtcachesize prepstmtcachesqllimit cacheresultsetmetadata cacheserverconfiguration usecursorfetch \
         uselocalsessionstate elidesetautocommits maintaintimestats tinyint1isbit datestrings supportbignumbers \
         bignumberstrings decimalnumbers useaffectedrows usecompression autocommit interpolateparams \
         uselegacydatetimecode usejdbccomplianttimezoneshift nullcatalogmeanscurrent maxallowedpacket autoreconnect \
         reconnect failoverreadonly noaccesstoprocedurebodies nametype columnswithalias clientfoundrows debug trace \
         enablekeepalive sqlmode connectattributes getsource usessps",
    ),
    (
        Refused(FILES),
        "sslcert sslkey sslpassword sslcrl sslcrldir sslca sslcapath sslidentity serversslcert truststore \
         truststorepassword keystore keystorepassword trustcertificatekeystoreurl trustcertificatekeystorepassword \
         clientcertificatekeystoreurl clientcertificatekeystorepassword passfile service servicefile readdefaultfile \
         serverpublickeypath serverrsapublickeyfile sslfactory",
    ),
    (Refused(SOCKETS), "unixsocket socket socketpath unixpath requirepeer socketfactory"),
    (Refused(STATEMENTS), "initcommand sessionvariables connectioninitsql initsql"),
    (Refused("would lead past the name of the host"), "hostaddr"),
    (
        Refused("asks for what this server's driver can't do"),
        "replication requireauth gssencmode authenticationplugins",
    ),
];

/// The name of a parameter as it is looked up.
fn normalised(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).collect::<String>().to_lowercase()
}

/// What becomes of a parameter; `None` if it is not known.
pub(super) fn effect(name: &str, value: &str) -> Option<Effect> {
    let name = normalised(name);
    // These ask for something only if they insist.
    if name == "gssencmode" && matches!(value, "disable" | "prefer") {
        return Some(Nothing);
    }
    EFFECTS.into_iter().find(|(_, names)| names.split_whitespace().any(|known| known == name)).map(|(effect, _)| effect)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_parameter_has_one_effect_however_it_is_spelt() {
        let names: Vec<_> = EFFECTS.iter().flat_map(|(_, names)| names.split_whitespace()).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert!(names.iter().all(|name| normalised(name) == *name));
        for (name, expected) in [
            ("sslmode", SslMode),
            ("ssl-mode", SslMode),
            ("sslMode", SslMode),
            ("channel_binding", Nothing),
            ("connection_limit", Nothing),
            ("serverVersion", Nothing),
            ("currentSchema", SearchPath),
            ("sslcert", Refused(FILES)),
            ("unix_socket", Refused(SOCKETS)),
        ] {
            assert_eq!(effect(name, "x"), Some(expected), "{name}");
        }
        assert_eq!(effect("gssencmode", "disable"), Some(Nothing));
        assert_eq!(effect("no_such", "x"), None);
    }
}
