#!/usr/bin/python3
"""Writes the PyTorch checkpoints of this folder and logits.json, PyTorch's own answers.

Needs PyTorch (made with Debian 12's python3-torch, 1.13). The networks are small forms of ReCU's three CIFAR
networks with the names of its repository; the weights are random. Run it in this folder.
"""
import io
import json
import pickle
import struct
import tarfile

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(1)


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, g):
        return g


class BinConv(nn.Conv2d):
    """ReCU's 1-bit convolution: alpha, and tau as a buffer."""

    def __init__(self, cin, cout, stride=1):
        super().__init__(cin, cout, 3, stride, 1, bias=False)
        self.alpha = nn.Parameter(torch.rand(cout, 1, 1))
        self.register_buffer('tau', torch.tensor(1.))

    def forward(self, x):
        w = self.weight - self.weight.mean([1, 2, 3], keepdim=True)
        return F.conv2d(Sign.apply(x), Sign.apply(w), None, self.stride, self.padding) * self.alpha


def shortcut(x, cin, cout, stride):
    if stride != 1:
        x = F.avg_pool2d(x, 2)
    if cin != cout:
        x = F.pad(x, (0, 0, 0, 0, (cout - cin) // 2, (cout - cin) // 2))
    return x


class Block(nn.Module):
    def __init__(self, cin, cout, stride, two):
        super().__init__()
        self.conv1, self.bn1 = BinConv(cin, cout, stride), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = BinConv(cout, cout), nn.BatchNorm2d(cout)
        self.sizes, self.two = (cin, cout, stride), two

    def forward(self, x):
        h, s = self.bn1(self.conv1(x)), shortcut(x, *self.sizes)
        h = F.hardtanh(h + s if self.two else h)
        return F.hardtanh(self.bn2(self.conv2(h)) + (h if self.two else s))


class ResNet(nn.Module):
    """ReCU's ResNet-20 (two shortcuts a block, hardtanh in the stem) or ResNet-18."""

    def __init__(self, width, blocks, two):
        super().__init__()
        self.conv1, self.bn1, self.two, cin = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), two, width
        for stage in range(3 if two else 4):
            layer = []
            for i in range(blocks):
                layer.append(Block(cin, width << stage, 2 if stage and i == 0 else 1, two))
                cin = width << stage
            setattr(self, 'layer%d' % (stage + 1), nn.Sequential(*layer))
        self.linear, self.bn2 = nn.Linear(cin, 10), nn.BatchNorm1d(cin)

    def forward(self, x):
        x = self.bn1(self.conv1(x))
        if self.two:
            x = F.hardtanh(x)
        for stage in range(3 if self.two else 4):
            x = getattr(self, 'layer%d' % (stage + 1))(x)
        return self.linear(self.bn2(x.mean([2, 3])))


class VGG(nn.Module):
    def __init__(self, width):
        super().__init__()
        sizes = [3, width, width, 2 * width, 2 * width, 4 * width, 4 * width]
        for i in range(6):
            conv = BinConv(sizes[i], sizes[i + 1]) if i else nn.Conv2d(3, width, 3, 1, 1, bias=False)
            setattr(self, 'conv%d' % i, conv)
            setattr(self, 'bn%d' % i, nn.BatchNorm2d(sizes[i + 1]))
        self.fc = nn.Linear(4 * width, 10)  # of maps of one pixel

    def forward(self, x):
        for i in range(6):
            x = getattr(self, 'conv%d' % i)(x)
            if i % 2:
                x = F.max_pool2d(x, 2)
            x = F.hardtanh(getattr(self, 'bn%d' % i)(x))
        return self.fc(x.flatten(1))


def trained(net):
    """net with statistics and scales as training leaves them."""
    net.train()
    for _ in range(20):
        net(torch.randn(32, 3, 8, 8))
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm1d)):
                m.weight.normal_(1, 0.5)
                m.bias.normal_(0, 0.5)
            if isinstance(m, BinConv):
                m.tau = torch.tensor([0.99])  # ReCU replaces the scalar by a vector
    return net.eval()


def save_tar(state, name):
    """The format before PyTorch 0.1.10, by hand: no PyTorch writes it any more."""
    tensors = list(state.values())

    class P(pickle._Pickler):
        def persistent_id(self, o):
            return str(1000 + next(i for i, t in enumerate(tensors) if t is o)) if torch.is_tensor(o) else None

    kind = {torch.float32: 'FloatStorage', torch.int64: 'LongStorage'}
    storages, views = io.BytesIO(), io.BytesIO()
    pickle.dump(len(tensors), storages, 2)
    pickle.dump(len(tensors), views, 2)
    for i, t in enumerate(tensors):
        pickle.dump((i, 'cpu', getattr(torch, kind[t.dtype])), storages, 2)
        storages.write(struct.pack('<q', t.numel()) + t.contiguous().numpy().tobytes())
        pickle.dump((1000 + i, i, getattr(torch, kind[t.dtype].replace('Storage', 'Tensor'))), views, 2)
        views.write(struct.pack('<q%dq' % (2 * t.dim() + 1), t.dim(), *t.shape, *t.contiguous().stride(), 0))
    pickle.dump([], storages, 2)
    main, info = io.BytesIO(), io.BytesIO()
    P(main, 2).dump(dict(state))
    pickle.dump({'protocol_version': 1000, 'little_endian': True}, info, 2)
    with tarfile.open(name, 'w', format=tarfile.PAX_FORMAT) as tar:
        for part, data in ('sys_info', info), ('pickle', main), ('tensors', views), ('storages', storages):
            entry = tarfile.TarInfo(part)
            entry.size = len(data.getvalue())
            tar.addfile(entry, io.BytesIO(data.getvalue()))
    loaded = torch.load(name)
    assert all(torch.equal(loaded[k], v) for k, v in state.items())


images = torch.randn(2, 3, 8, 8)
logits = {}


def answer(name, net):
    with torch.no_grad():
        logits[name] = net(images).double().flatten().tolist()


# As ReCU's main.py saves it, with the optimiser's and the scheduler's state.
net = trained(ResNet(4, 1, True))
optimizer = torch.optim.SGD([{'params': net.parameters(), 'initial_lr': 0.1}], 0.1, momentum=0.9, weight_decay=5e-4)
net(images).sum().backward()
answer('resnet20.pth.tar', net)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 596, eta_min=0, last_epoch=0)
optimizer.step()
answer('resnet20.pth.tar', net)
whole = {'epoch': 600, 'model': 'resnet20_1w1a', 'state_dict': net.state_dict(), 'best_prec1': 87.5,
         'optimizer': optimizer.state_dict(), 'lr_scheduler': scheduler.state_dict()}
torch.save(whole, 'resnet20.pth.tar')

# The same of two GPUs, before PyTorch 1.6.
net = trained(ResNet(4, 1, True))
answer('resnet20-legacy.pth.tar', net)
whole['state_dict'] = nn.DataParallel(net).state_dict()
del whole['optimizer'], whole['lr_scheduler']
torch.save(whole, 'resnet20-legacy.pth.tar', _use_new_zipfile_serialization=False)

# A bare state dictionary of halves.
net = trained(ResNet(2, 2, False)).half().float()
answer('resnet18.pth', net)
torch.save({k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}, 'resnet18.pth')

# Doubles and bfloat16, views that share a storage, strides that are not row-major, parameters instead of tensors.
net = trained(VGG(4)).bfloat16().float()
answer('vggsmall.pth', net)
state = net.state_dict()
shared = torch.cat([state['bn%d.weight' % i] for i in range(6)]).double()
at = 0
for i in range(6):
    n = len(state['bn%d.weight' % i])
    state['bn%d.weight' % i] = shared[at:at + n]
    at += n
    state['conv%d.weight' % i] = state['conv%d.weight' % i].bfloat16()
state['fc.weight'] = nn.Parameter(state['fc.weight'].t().contiguous().t())
assert not state['fc.weight'].is_contiguous()
torch.save(state, 'vggsmall.pth')

# The oldest format.
net = trained(ResNet(2, 1, True))
answer('resnet20-oldest.tar', net)
save_tar(net.state_dict(), 'resnet20-oldest.tar')

# Files that are no state dictionaries.
torch.save(nn.Linear(2, 2), 'module.pth')
torch.save({'state_dict': {'w': torch.zeros(1)}, 'when': __import__('datetime').date(2021, 10, 11)}, 'foreign-class.pth')

with open('logits.json', 'w') as f:
    json.dump({'images': images.double().flatten().tolist(), 'logits': logits}, f)
