"""Provisioning with the platform's own Python SDK: nothing but its host is ours.

Usage: vendor_script.py HOST CLIENT_ID CLIENT_SECRET CONNECTION_URI API_KEY API_CLIENT_SECRET

Prints one line of JSON with what it saw. It waits for a call that somebody places in its queue.
"""

from __future__ import annotations

import json
import sys
import time

import PureCloudPlatformClientV2
from PureCloudPlatformClientV2.rest import ApiException

LONGEST_S = 30


def until(look, *, bound_s=LONGEST_S):
    """Look again and again until there is something to see."""
    give_up_at = time.monotonic() + bound_s
    while not (seen := look()):
        assert time.monotonic() < give_up_at, "nothing came"
        time.sleep(0.02)
    return seen


def main(host, client_id, client_secret, uri, api_key, api_secret):
    PureCloudPlatformClientV2.configuration.host = host
    client = PureCloudPlatformClientV2.api_client.ApiClient().get_client_credentials_token(
        client_id, client_secret
    )
    integrations = PureCloudPlatformClientV2.IntegrationsApi(client)
    routing = PureCloudPlatformClientV2.RoutingApi(client)
    conversations = PureCloudPlatformClientV2.ConversationsApi(client)
    seen = {"types": [each.id for each in integrations.get_integrations_types().entities]}

    # Credentials, and as many integrations as there may be.
    credential = PureCloudPlatformClientV2.Credential()
    credential.name = "a service"
    credential.type = PureCloudPlatformClientV2.CredentialType()
    credential.type.id = credential.type.name = "audioHook"
    credential.credential_fields = {"apiKey": api_key, "clientSecret": api_secret}
    credential = integrations.post_integrations_credentials(body=credential)

    def create(number):
        request = PureCloudPlatformClientV2.CreateIntegrationRequest()
        request.name = f"service {number}"
        request.integration_type = PureCloudPlatformClientV2.IntegrationType()
        request.integration_type.id = "audiohook"
        return integrations.post_integrations(body=request)

    created = [create(number) for number in range(1, 6)]
    try:
        create(6)
    except ApiException as error:
        seen["sixth"] = {"status": error.status, **json.loads(error.body)}

    # Configuration and activation.
    for number, integration in enumerate(created, 1):
        config = integrations.get_integration_config_current(integration.id)
        config.properties = {"channel": "both", "connectionUri": uri}
        config.advanced = {"number": number}
        config.credentials = {"audioHook": PureCloudPlatformClientV2.CredentialInfo()}
        config.credentials["audioHook"].id = credential.id
        config = integrations.put_integration_config_current(integration.id, body=config)
        assert config.version == 2
        wanted = PureCloudPlatformClientV2.Integration()
        wanted.intended_state = "ENABLED"
        integrations.patch_integration(integration.id, body=wanted)

    def states():
        return [integrations.get_integration(each.id).reported_state.code for each in created]

    until(lambda: "ACTIVATING" not in states())
    seen["states"] = states()
    pages = [integrations.get_integrations(page_size=2, page_number=each) for each in (1, 2, 3)]
    seen["pages"] = [len(page.entities) for page in pages]
    seen["total"] = pages[0].total

    # A queue that is switched on, and the call that comes to it.
    request = PureCloudPlatformClientV2.CreateQueueRequest()
    request.name = "support"
    queue = routing.post_routing_queues(request)
    assert queue.enable_audio_monitoring is False
    request = PureCloudPlatformClientV2.QueueRequest()
    request.name = queue.name
    request.enable_audio_monitoring = True
    queue = routing.put_routing_queue(queue.id, request)
    seen["queue"] = queue.enable_audio_monitoring
    seen["queues"] = [each.name for each in routing.get_routing_queues(name="supp*").entities]
    conversation = until(lambda: conversations.get_conversations().entities)[0]
    seen["conversation"] = conversation.id
    seen["calls"] = [each.id for each in conversations.get_conversations_calls().entities]

    # It is paused and resumed securely, in both of the ways there are.
    def state():
        found = conversations.get_conversation(conversation.id)
        return [found.recording_state, found.secure_pause]

    seen["recording"] = [until(lambda: state() == ["ACTIVE", False]) and state()]
    pause = PureCloudPlatformClientV2.Conversation()
    pause.recording_state, pause.secure_pause = "PAUSED", True
    answer = conversations.patch_conversations_call(conversation.id, pause)
    seen["recording"] += [[answer.recording_state, answer.secure_pause], state()]
    resume = PureCloudPlatformClientV2.Conversation()
    resume.recording_state, resume.secure_pause = "ACTIVE", False
    conversations.patch_conversations_call(conversation.id, resume)
    seen["recording"].append(state())
    change = PureCloudPlatformClientV2.SetRecordingState()
    for change.recording_state in ("PAUSED", "ACTIVE"):
        conversations.put_conversations_call_recordingstate(conversation.id, change)
        seen["recording"].append(state())

    # Everything goes as it came.
    hang_up = PureCloudPlatformClientV2.Conversation()
    hang_up.state = "disconnected"
    conversations.patch_conversations_call(conversation.id, hang_up)
    for integration in created:
        integrations.delete_integration(integration.id)
    integrations.delete_integrations_credential(credential.id)
    routing.delete_routing_queue(queue.id)
    seen["left"] = [
        integrations.get_integrations().total,
        integrations.get_integrations_credentials().total,
        routing.get_routing_queues().total,
    ]
    try:
        integrations.get_integration(created[0].id)
    except ApiException as error:
        seen["gone"] = error.status
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
