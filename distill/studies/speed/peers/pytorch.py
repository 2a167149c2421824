"""KD and LIT in plain PyTorch, written as usual without this project.

The networks have the layers of `students.resnet`; feature maps are channels last in
memory. They run on a GPU if there is one, and in the run's precision.
"""

import torch
from torch import nn
from torch.nn import functional
from torch.utils import flop_counter

from distill.studies.speed.peers import child

METHODS = ("kd", "lit")
_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Learner:
    """Trains a student by one stage's method, with the loss of the LIT authors' code.

    Source:
        Hinton et al., 2015, section 2; Koratana et al., "LIT", ICML 2019, section 3.
        The weights of the losses are the stage's.
    """

    def __init__(self, task, stage):
        self._stage = stage
        self._batch = [torch.from_numpy(part) for part in task.batch]
        if _DEVICE == "cuda":
            self._batch = [part.pin_memory() for part in self._batch]
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")  # TF32, as in JAX.
        self._half = task.run.hardware.precision == "mixed_bfloat16"
        self._loss = torch.compile(self._loss_of) if task.compiled else self._loss_of
        self._teacher, self._student = (_network(task, role) for role in _ROLES)
        self._teacher.eval().requires_grad_(False)
        student = self._student
        if stage.name == "lit":
            for name in ("stem", "head"):
                state = getattr(self._teacher, name).state_dict()
                getattr(student, name).load_state_dict(state)
                # As in Keras, a frozen norm uses its statistics, not the batch's.
                getattr(student, name).requires_grad_(False).eval()
        learning = [value for value in student.parameters() if value.requires_grad]
        kernels = [value for value in learning if value.ndim > 1]
        others = [value for value in learning if value.ndim == 1]
        # Keras' penalty is w^2, of which the gradient is 2 w; PyTorch's decay adds w.
        decay = 2 * task.run.student.weight_decay
        self._optimizer = torch.optim.SGD(
            [{"params": kernels, "weight_decay": decay}, {"params": others}],
            lr=child.RATE,
            momentum=stage.momentum,
        )

    def steps(self, count):
        """Trains some steps, waits for the last, and returns its loss, a tensor."""
        for _ in range(count):
            images, labels = (
                part.to(_DEVICE, non_blocking=True) for part in self._batch
            )
            self._optimizer.zero_grad()
            with torch.autocast(_DEVICE, torch.bfloat16, enabled=self._half):
                loss = self._loss(images, labels)
            loss.backward()
            self._optimizer.step()
        if _DEVICE == "cuda":
            torch.cuda.synchronize()
        return loss

    def _loss_of(self, images, labels):
        images = images.permute(0, 3, 1, 2)  # A view: channels stay last in memory.
        with torch.no_grad():
            teacher_maps, teacher_logits = self._teacher(images)
        _, logits = self._student(images)
        method = self._stage.trainer
        loss = self._stage.task_weight * functional.cross_entropy(logits, labels)
        loss = loss + method.kd_weight * _kd_loss(
            teacher_logits, logits, method.temperature
        )
        if self._stage.name == "lit":
            for index, section in enumerate(self._student.sections):
                output = section(teacher_maps[index])
                error = functional.mse_loss(output, teacher_maps[index + 1])
                loss = loss + method.section_weight * error
        return loss

    def loss(self) -> float:
        """Trains one step; returns its loss."""
        return self.steps(1).item()


def costs(task) -> dict:
    """`parameters` and `macs` of each role's network."""
    result = {}
    for role in _ROLES:
        network = _network(task, role).eval()
        values = [*network.parameters(), *network.buffers()]
        image = torch.from_numpy(task.batch[0][:1]).to(_DEVICE).permute(0, 3, 1, 2)
        with torch.no_grad(), flop_counter.FlopCounterMode(display=False) as counter:
            network(image)
        result[role] = {
            # Scalars are left out: they count the batches that a norm has seen.
            "parameters": sum(value.numel() for value in values if value.ndim),
            # A multiply-accumulate is two operations.
            "macs": counter.get_total_flops() // 2,
        }
    return result


def package(task) -> str:
    """Library, version and device of these steps."""
    how = "compiled" if task.compiled else "eager"
    return f"PyTorch {torch.__version__}, {how}, {_DEVICE}"


def product(values, precision):
    """A function that multiplies a matrix by itself, and waits for the product."""
    matrix = torch.from_numpy(values).to(_DEVICE, getattr(torch, precision))
    return lambda: (matrix @ matrix)[0, 0].item()


def _kd_loss(teacher_logits, student_logits, temperature):
    log_p, log_q = (
        functional.log_softmax(logits / temperature, -1)
        for logits in (teacher_logits, student_logits)
    )
    # `batchmean`: the mean over examples of the sum over classes; `mean` would also
    # divide by the classes.
    divergence = functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    return divergence * temperature**2


_ROLES = ("teacher", "student")


def _network(task, role):
    """The network of a role with the task's weights."""
    part = task.run.teacher.network if role == "teacher" else task.run.student
    channels, classes = task.run.data.input_shape[-1], task.run.data.num_classes
    network = ResNet(part.depth, part.width, channels, classes)
    values = task.layers(role)
    with torch.no_grad():
        for name, module in _modules_by_name(network).items():
            arrays = [torch.from_numpy(array) for array in values[name]]
            if isinstance(module, nn.Conv2d):
                # Keras has `(height, width, in, out)`, PyTorch `(out, in, height,
                # width)`.
                module.weight.copy_(arrays[0].permute(3, 2, 0, 1))
            elif isinstance(module, nn.Linear):
                module.weight.copy_(arrays[0].T)
                module.bias.copy_(arrays[1])
            else:
                norm = (module.weight, module.bias)
                norm += (module.running_mean, module.running_var)
                for own, value in zip(norm, arrays, strict=True):
                    own.copy_(value)
    return network.to(_DEVICE, memory_format=torch.channels_last)


def _modules_by_name(network):
    """The module of each layer, by its name in `students.resnet`."""
    stem = network.stem
    modules = {"stem_conv": stem[0], "stem_norm": stem[1], "head": network.head}
    for number, section in enumerate(network.sections, 1):
        for place, block in enumerate(section, 1):
            name = f"section{number}_block{place}_"
            for index, pair in enumerate(block.pairs(), 1):
                which = "shortcut" if index == 3 else index
                modules[f"{name}{which}_conv"] = pair[0]
                modules[f"{name}{which}_norm"] = pair[1]
    return modules


class _Conv(nn.Conv2d):
    """A convolution without bias, padded as in TensorFlow.

    There a stride of 2 pads only the end.
    """

    def __init__(self, channels, more, kernel_size, stride):
        self.one_sided = stride > 1 and kernel_size > 1
        # With few channels, oneDNN's gradient crashes: see `distill.runtime.strided`.
        crashes = kernel_size == 1 and channels < 16
        self.step = stride if crashes else 1
        padding = 0 if self.one_sided else kernel_size // 2
        stride //= self.step
        super().__init__(channels, more, kernel_size, stride, padding, bias=False)

    def forward(self, x):
        """See `torch.nn.Conv2d`."""
        x = x[:, :, :: self.step, :: self.step] if self.step > 1 else x
        return super().forward(functional.pad(x, (0, 1, 0, 1)) if self.one_sided else x)


def _norm(channels):
    # The epsilon of Keras; PyTorch's is 1e-5.
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """Two convolutions and a shortcut, which is a projection if the size changes."""

    def __init__(self, channels: int, more: int, stride: int):
        super().__init__()
        self.conv1 = _Conv(channels, more, 3, stride)
        self.norm1 = _norm(more)
        self.conv2 = _Conv(more, more, 3, 1)
        self.norm2 = _norm(more)
        self.shortcut = None
        if channels != more or stride > 1:
            self.shortcut = nn.Sequential(_Conv(channels, more, 1, stride), _norm(more))

    def pairs(self):
        """Each convolution with its norm; a projection, if there is one, is third."""
        first, second = (self.conv1, self.norm1), (self.conv2, self.norm2)
        return [first, second, *([tuple(self.shortcut)] if self.shortcut else [])]

    def forward(self, x):
        """The rectified sum of both branches."""
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        y += x if self.shortcut is None else self.shortcut(x)
        return functional.relu(y, inplace=True)


class ResNet(nn.Module):
    """`students.resnet.ResNet` with projections and rectifiers at the end of blocks."""

    def __init__(self, depth, width, channels, num_classes):
        super().__init__()
        self.stem = nn.Sequential(
            _Conv(channels, width, 3, 1), _norm(width), nn.ReLU(inplace=True)
        )
        sections = []
        channels = width
        for index in range(3):
            more = width * 2**index
            blocks = [Block(channels, more, 1 + (index > 0))]
            blocks += [Block(more, more, 1) for _ in range((depth - 2) // 6 - 1)]
            sections.append(nn.Sequential(*blocks))
            channels = more
        self.sections = nn.ModuleList(sections)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x):
        """Representations and logits of images `(batch, channels, height, width)`."""
        maps = [self.stem(x)]
        for section in self.sections:
            maps.append(section(maps[-1]))
        return maps, self.head(maps[-1].mean((2, 3)))
