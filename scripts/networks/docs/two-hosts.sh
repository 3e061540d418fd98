ip link add sw type bridge && ip link set sw up
for n in 1 2; do
    ip netns add node$n
    ip link add sw-$n type veth peer name eth0 netns node$n
    ip link set sw-$n master sw up
    ip -n node$n address add 192.168.7.$n/24 dev eth0
    ip -n node$n link set eth0 up
    ip -n node$n link add cni0 type bridge
    ip -n node$n address add 10.244.$n.1/24 dev cni0
    ip -n node$n link set cni0 up
    for c in 1 2; do
        pod=pod-$n$c
        ip netns add $pod
        ip -n node$n link add veth$c type veth \
            peer name eth0 address 02:00:00:00:0$n:0$c netns $pod
        ip -n node$n link set veth$c master cni0 up
        ip -n $pod address add 10.244.$n.1$c/24 dev eth0
        ip -n $pod link set lo up
        ip -n $pod link set eth0 up
    done
    ip -n node$n link add flannel.1 type vxlan id 1 dstport 8472 dev eth0 \
        local 192.168.7.$n remote 192.168.7.$((3 - n))
    ip -n node$n link set flannel.1 up
done
