python -c 'import netviz; netviz.needs("ovs"); netviz.service("ovs")'
ovs-vsctl add-br ovs-br
for pair in 1:2 2:5; do
    n=${pair%:*}
    ip netns add net$n
    ip link add ovs-veth$((n - 1)) type veth \
        peer name veth$((n - 1)) address 02:00:00:00:00:0${pair#*:} netns net$n
    ip link set ovs-veth$((n - 1)) up
    ip -n net$n address add 10.1.1.${pair#*:}/24 dev veth$((n - 1))
    ip -n net$n link set veth$((n - 1)) up
    ovs-vsctl add-port ovs-br ovs-veth$((n - 1))
done
