"""Envoy's configuration: its credential injector with the OAuth2 credential, whose token comes from the sandbox."""

TYPES = "type.googleapis.com/envoy."
HTTP_CONNECTION_MANAGER = TYPES + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
INJECTOR = TYPES + "extensions.filters.http.credential_injector.v3.CredentialInjector"
OAUTH2 = TYPES + "extensions.http.injected_credentials.oauth2.v3.OAuth2"
ROUTER = TYPES + "extensions.filters.http.router.v3.Router"
TLS = TYPES + "extensions.transport_sockets.tls.v3.UpstreamTlsContext"


def address(host, port):
    return {"socket_address": {"address": host, "port_value": int(port)}}


def listener(name, port, token):
    injector = {
        "@type": INJECTOR, "overwrite": True, "allow_request_without_credential": False,
        "credential": {"name": "envoy.http.injected_credentials.oauth2", "typed_config": {
            "@type": OAUTH2,
            "token_endpoint": {"cluster": "token", "uri": f"http://{token}/oauth2/token", "timeout": "5s"},
            "client_credentials": {"client_id": "sandbox-client", "client_secret": {"name": "client-secret"}}}}}
    manager = {
        "@type": HTTP_CONNECTION_MANAGER, "stat_prefix": name,
        "route_config": {"virtual_hosts": [{
            "name": name, "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s"}}]}]},
        "http_filters": [
            {"name": "envoy.filters.http.credential_injector", "typed_config": injector},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}]}
    return {
        "name": name, "address": address("127.0.0.1", port), "tcp_backlog_size": 4096,
        "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}


def cluster(name, host, port, **more):
    limits = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    return {
        "name": name, "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(host, port)}}]}]}, **more}


def bootstrap(port, tls_port, origin, token):
    tls = {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": TLS, "sni": "localhost", "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "validation_context": {
                "trusted_ca": {"filename": str(origin.ca)},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "localhost"}}]}}}}
    return {"static_resources": {
        "secrets": [{"name": "client-secret", "generic_secret": {"secret": {"inline_string": "sandbox-secret"}}}],
        "listeners": [listener("plain", port, token), listener("tls", tls_port, token)],
        "clusters": [
            cluster("plain", "127.0.0.1", origin.port),
            cluster("tls", "127.0.0.1", origin.tls_port, transport_socket=tls),
            cluster("token", *token.rsplit(":", 1))]}}
