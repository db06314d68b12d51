"""Federated rounds between machines, with Flower.

``pip install espnet2_cltm[federated]`` brings Flower along;
``conf/flower/`` is a Flower app of the two objects here. Each silo's machine runs
``flower-supernode`` with the ESPnet configuration of its own training in the node's
configuration; data stay there, weights travel. The server's machine runs
``flower-superlink`` and builds the model to begin with, as every silo does, from a
configuration and its seed. Rounds are those of :mod:`espnet2_cltm.pooling.rounds`, and
silos those of :mod:`.silos`: the result is that of a simulation.

That data stay is all that is claimed of privacy: weights can tell about the data that
they were trained on, and nothing here is done about that.
"""

import argparse
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from espnet2.utils.yaml_no_alias_safe_dump import yaml_no_alias_safe_dump
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import replacing, write_text
from espnet2_cltm.pooling.methods import Rounds, method_of, read_pool_method
from espnet2_cltm.pooling.rounds import federate
from espnet2_cltm.pooling.weights import Weights, trained_weights
from espnet2_cltm.registry import find_task
from espnet2_cltm.tasks.building import start_model
from espnet2_cltm.tasks.espnet import AbsTask
from espnet2_cltm.tasks.silos import Silo
from espnet2_cltm.tasks.training import training_arguments

WAIT_SECONDS = 1.0
_WEIGHTS, _ABOUT = "weights", "about"

client = ClientApp()
server = ServerApp()


@client.query()
def describe_silo(message: Message, context: Context) -> Message:
    """Answer with the silo's name and its number of training utterances."""
    _, args = _training(context.node_config)
    about = {
        "name": str(context.node_config["name"]),
        "utterances": len(read_table(args.train_shape_file[0])),
    }
    return Message(RecordDict({_ABOUT: ConfigRecord(about)}), reply_to=message)


@client.train()
def train_silo(message: Message, context: Context) -> Message:
    """Train for a round, and answer with the weights."""
    torch.set_num_threads(1)  # as in an experiment: sums then depend on nothing else
    task, args = _training(context.node_config)
    about = message.content[_ABOUT]
    method = Rounds(**json.loads(str(about["method"])))
    silo = Silo(task, args, start_model(task, args), method)
    sent = message.content[_WEIGHTS].to_torch_state_dict()
    return Message(_with_weights(silo(sent, int(about["round"]))), reply_to=message)


@server.main()
def serve(grid: Grid, context: Context) -> None:
    """Train in rounds, and write the model and its configuration.

    The run's configuration has ``task``, ``train-config``, ``pool-method``, ``silos``
    (how many there are) and ``output-dir``, which gets ``config.yaml`` and
    ``federated.pth``, arguments of the task's inference command.

    Raises:
        UserError: An option cannot be used, or a silo has failed.
    """
    torch.set_num_threads(1)
    config = context.run_config
    task, args = _training(config)
    name = str(config["pool-method"])
    method = method_of(name, read_pool_method(name))
    if not isinstance(method, Rounds):
        raise UserError(
            f"--pool_method {name} has no rounds: give fedavg, fedprox or reptile."
        )
    nodes, utterances = _find_silos(grid, int(config["silos"]))

    def silos(
        names: Sequence[str], weights: Weights, number: int
    ) -> dict[str, dict[str, torch.Tensor]]:
        about = {"method": json.dumps(asdict(method)), "round": number}
        contents = {
            nodes[one]: _with_weights(weights, ConfigRecord(about)) for one in names
        }
        answers = _ask(grid, "train", contents)
        return {
            one: answers[nodes[one]][_WEIGHTS].to_torch_state_dict() for one in names
        }

    model = start_model(task, args)
    weights, _ = federate(
        trained_weights(model),
        silos,
        utterances,
        method,
        method.n_rounds(args.max_epoch),
        args.seed,
    )
    model.load_state_dict({**model.state_dict(), **weights})
    place = Path(str(config["output-dir"]))
    write_text(place / "config.yaml", yaml_no_alias_safe_dump(vars(args)))
    with replacing(place / "federated.pth") as temporary:
        torch.save(model.state_dict(), temporary)
    logging.info("Wrote %s", place / "federated.pth")


def _training(config: Mapping[str, object]) -> tuple[type[AbsTask], argparse.Namespace]:
    task = find_task(str(config["task"])).code().ESPNET_TASK
    return task, training_arguments(task, str(config["train-config"]))


def _find_silos(grid: Grid, n: int) -> tuple[dict[str, int], dict[str, int]]:
    """Wait for silos; return the node and the number of utterances of each by name."""
    while len(found := list(grid.get_node_ids())) < n:
        logging.info("%d of %d silos are there", len(found), n)
        time.sleep(WAIT_SECONDS)
    answers = _ask(grid, "query", {node: RecordDict() for node in found})
    nodes: dict[str, int] = {}
    utterances: dict[str, int] = {}
    for node, content in answers.items():
        name = str(content[_ABOUT]["name"])
        if name in nodes:
            raise UserError(
                f"Two silos are named {name}: give each a name of its own with "
                "flower-supernode's node configuration."
            )
        nodes[name], utterances[name] = node, int(content[_ABOUT]["utterances"])
    return nodes, utterances


def _ask(
    grid: Grid, kind: str, contents: Mapping[int, RecordDict]
) -> dict[int, RecordDict]:
    """Send nodes their messages, and return the answers of all."""
    messages: Iterable[Message] = [
        Message(content, dst_node_id=node, message_type=kind)
        for node, content in contents.items()
    ]
    answers = {}
    for answer in grid.send_and_receive(messages):
        node = answer.metadata.src_node_id
        if answer.has_error():
            raise UserError(
                f"The silo of Flower's node {node} has failed "
                f"({answer.error.reason}): look at the log of its flower-supernode."
            )
        answers[node] = answer.content
    if missing := contents.keys() - answers.keys():
        raise UserError(
            f"The silo of Flower's node {min(missing)} has not answered: see whether "
            "its flower-supernode runs, and start again."
        )
    return answers


def _with_weights(weights: Weights, about: ConfigRecord | None = None) -> RecordDict:
    on_cpu = {name: value.cpu() for name, value in weights.items()}
    content = RecordDict({_WEIGHTS: ArrayRecord(on_cpu)})
    if about is not None:
        content[_ABOUT] = about
    return content
